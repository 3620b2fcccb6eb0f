"""feedback: customer surveys. Sends invitations, counts each response once, and reports scores with their
confidence."""
