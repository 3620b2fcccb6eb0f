"""Notices to other systems, for every service that has some: one attempt (`delivery`), and attempts until one succeeds (`retries`)."""
