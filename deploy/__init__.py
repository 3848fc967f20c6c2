"""Deployment: image, compose file, chart, dashboard, and the scripts that check them."""
