"""What people see: curves on disk, progress bars, pictures and text in the terminal. Knows no model and no data set."""
