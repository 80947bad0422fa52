"""Recipes for style transfer side by side: tfnst's defaults and its peers'."""
