"""What a user does with catgen, as plain functions that return records: for notebooks, servers and commands alike."""
