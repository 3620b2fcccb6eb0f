"""sla: SLA tracking. A lane over routing.events.v1 sets, pauses, warns about, breaches and meets deadlines;
SlaService answers queries."""
