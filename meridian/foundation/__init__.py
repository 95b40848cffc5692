"""Foundation track: the concurrency, networking and performance core of the control plane."""
