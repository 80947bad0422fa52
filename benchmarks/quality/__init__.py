"""Compares recipes for style transfer: tfnst's defaults and its peers'."""
