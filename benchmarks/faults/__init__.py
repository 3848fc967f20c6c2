"""The fault benchmark: goals H1, H3 to H6 and H8 to H10, on servers that are really broken."""
