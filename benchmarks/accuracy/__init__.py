"""How accurate the recipes and the shipped models are."""
