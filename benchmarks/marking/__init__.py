"""The marking benchmark: goals H11 and S12, what marks cost and what they survive."""
