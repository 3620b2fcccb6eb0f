"""sla: promises to customers. A lane over routing.events.v1 sets, pauses, warns, breaks and keeps deadlines; SlaService tells."""
