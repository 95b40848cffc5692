"""The capstone notebook: taken in, put right, run in a boxed kernel, compared."""
