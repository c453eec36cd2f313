"""What a gateway delivers for its CPU time, under a load that anyone can repeat."""
