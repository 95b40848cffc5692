"""For authors of capstones: cutting exercises, proving that a capstone judges well."""
