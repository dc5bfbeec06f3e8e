"""What ``guard screen`` is made of: lines in, tiers, verdicts out."""
