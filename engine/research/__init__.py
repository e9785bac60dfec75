"""Research on history: choosing pairs. Pure functions of what they are given, without a clock or random state."""
