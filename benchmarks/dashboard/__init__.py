"""The dashboard of `deploy/grafana`, drawn from a real Prometheus over a server under load."""
