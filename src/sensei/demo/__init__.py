"""Shows Sensei at work on sample data."""
