"""The channels that an account can have."""

from typing import Final

CHANNELS: Final = frozenset({"webchat", "telegram", "bale", "whatsapp", "webhook", "email", "sms", "voice", "grpc"})
