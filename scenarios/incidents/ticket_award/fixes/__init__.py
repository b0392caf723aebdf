"""What would come to mind about the guide's awards: each file is a smallest difference to its code."""
