"""What was, or could have been, done about the three SMS: each file is a smallest difference to the code as deployed."""
