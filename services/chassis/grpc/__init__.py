"""gRPC mechanics: `server` and `client`; what both need is in `auth`, `status`, `context`, `tls`."""
