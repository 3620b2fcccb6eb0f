"""Calls as providers make them, one for each kind of message."""

import json
from typing import Any

USER = {"id": 7, "is_bot": False, "first_name": "Sara", "language_code": "fa"}
CHAT = {"id": 7, "type": "private", "first_name": "Sara"}
GROUP = {"id": -100, "type": "supergroup", "title": "Friends"}
FILE = {"file_id": "f", "file_unique_id": "u", "file_size": 9}


def telegram(kind: str = "message", **content: Any) -> dict[str, Any]:
    """An update with a message of Sara."""
    message = {"message_id": 5, "chat": CHAT, "from": USER, "date": 1_700_000_000, **content}
    return {"update_id": 11, kind: message}


TELEGRAM: dict[str, dict[str, Any]] = {
    "text": telegram(text="سلام", entities=[{"type": "bold", "offset": 0, "length": 4}]),
    "photo": telegram(photo=[{**FILE, "width": 1}, {**FILE, "file_id": "large", "file_size": 99}], caption="my order"),
    "voice": telegram(voice={**FILE, "duration": 3, "mime_type": "audio/ogg"}),
    "video_note": telegram(video_note={**FILE, "duration": 3, "length": 240}),
    "animation": telegram(animation={**FILE, "duration": 3}, document={**FILE, "file_name": "a.mp4"}),
    "sticker": telegram(sticker={**FILE, "emoji": "😀", "type": "regular"}),
    "location": telegram(location={"latitude": 35.5, "longitude": 51.25}),
    "venue": telegram(
        location={"latitude": 35.5, "longitude": 51.25},
        venue={"location": {"latitude": 35.5, "longitude": 51.25}, "title": "Cafe", "address": "Valiasr"},
    ),
    "contact": telegram(contact={"phone_number": "+98912", "first_name": "Ali", "user_id": 8}),
    "poll": telegram(poll={"id": "1", "question": "When?", "options": [{"text": "now", "voter_count": 0}]}),
    "checklist": telegram(checklist={"title": "To do", "tasks": [{"id": 1, "text": "call me"}]}),
    "dice": telegram(dice={"emoji": "🎲", "value": 4}),
    "story": telegram(story={"chat": CHAT, "id": 3}),
    "paid_media": telegram(paid_media={"star_count": 5, "paid_media": [{"type": "photo", "photo": [FILE]}]}),
    "paid_media with a caption": telegram(caption="look", paid_media={"star_count": 5, "paid_media": []}),
    "web_app_data": telegram(web_app_data={"data": '{"size":"XL"}', "button_text": "Order"}),
    "successful_payment": telegram(
        successful_payment={"currency": "USD", "total_amount": 1250, "invoice_payload": "order-3"}
    ),
    "hologram": telegram(hologram={"id": "h"}, has_glasses=True),
    "pinned_message": telegram(pinned_message={"message_id": 2, "chat": CHAT, "date": 1}),
    "new_chat_members": telegram(chat=GROUP, new_chat_members=[USER]),
    "quote": telegram(text="this one", reply_to_message={"message_id": 4, "chat": CHAT}, quote={"text": "12"}),
    "edited_message": telegram("edited_message", text="corrected", edit_date=1_700_000_009),
    "edited caption": telegram("edited_message", photo=[FILE], caption="corrected", edit_date=1_700_000_009),
    "business_message": telegram("business_message", text="hello", business_connection_id="bc"),
    "edited_business_message": telegram("edited_business_message", text="hello!", business_connection_id="bc"),
    "deleted_business_messages": {
        "update_id": 11,
        "deleted_business_messages": {"business_connection_id": "bc", "chat": CHAT, "message_ids": [5, 6]},
    },
    "message_reaction": {
        "update_id": 11,
        "message_reaction": {
            "chat": CHAT,
            "message_id": 4,
            "user": USER,
            "date": 1_700_000_000,
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": "👍"}, {"type": "paid"}],
        },
    },
    "callback_query": {
        "update_id": 11,
        "callback_query": {"id": "q", "from": USER, "data": "yes", "message": {"message_id": 4, "chat": CHAT}},
    },
    "poll_answer": {"update_id": 11, "poll_answer": {"poll_id": "1", "user": USER, "option_ids": [0, 2]}},
    "my_chat_member": {
        "update_id": 11,
        "my_chat_member": {"chat": CHAT, "from": USER, "date": 1, "new_chat_member": {"status": "kicked"}},
    },
    "pre_checkout_query": {
        "update_id": 11,
        "pre_checkout_query": {"id": "p", "from": USER, "currency": "XTR", "total_amount": 5, "invoice_payload": "x"},
    },
    "an update of tomorrow": {"update_id": 11, "dream": {"user": USER, "chat": CHAT, "about": "sheep"}},
}


def whatsapp_value(item: dict[str, Any], key: str = "messages") -> dict[str, Any]:
    """The value of a notification with one message of Sara."""
    message = {"from": "98912", "id": "wamid.1", "timestamp": "1700000000", **item}
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "98", "phone_number_id": "44"},
        "contacts": [{"wa_id": "98912", "profile": {"name": "Sara"}}],
        key: [message],
    }


def whatsapp(item: dict[str, Any], key: str = "messages") -> dict[str, Any]:
    """A notification with one message of Sara."""
    change = {"field": key, "value": whatsapp_value(item, key)}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


ERRORS = [{"code": 131051, "title": "Message type unknown", "error_data": {"details": "not supported"}}]
WHATSAPP: dict[str, dict[str, Any]] = {
    "text": whatsapp({"type": "text", "text": {"body": "سلام"}}),
    "image": whatsapp({"type": "image", "image": {"id": "m", "mime_type": "image/jpeg", "caption": "my order"}}),
    "voice": whatsapp({"type": "audio", "audio": {"id": "m", "mime_type": "audio/ogg; codecs=opus", "voice": True}}),
    "document": whatsapp({"type": "document", "document": {"id": "m", "filename": "a.pdf"}}),
    "sticker": whatsapp({"type": "sticker", "sticker": {"id": "m", "mime_type": "image/webp", "animated": False}}),
    "location": whatsapp(
        {"type": "location", "location": {"latitude": 35.5, "longitude": 51.25, "name": "Cafe", "address": "Valiasr"}}
    ),
    "contacts": whatsapp(
        {
            "type": "contacts",
            "contacts": [
                {
                    "name": {"formatted_name": "Ali R", "first_name": "Ali"},
                    "phones": [{"phone": "+98 912", "wa_id": "98912", "type": "CELL"}],
                    "emails": [{"email": "ali@a.example"}],
                }
            ],
        }
    ),
    "order": whatsapp(
        {
            "type": "order",
            "order": {
                "catalog_id": "c",
                "text": "please pack it",
                "product_items": [{"product_retailer_id": "tea", "quantity": 2, "item_price": 4.5, "currency": "USD"}],
            },
        }
    ),
    "button": whatsapp({"type": "button", "button": {"text": "Yes", "payload": "y"}, "context": {"id": "wamid.0"}}),
    "list_reply": whatsapp(
        {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "r1", "title": "Refund"}}}
    ),
    "nfm_reply": whatsapp(
        {
            "type": "interactive",
            "interactive": {
                "type": "nfm_reply",
                "nfm_reply": {
                    "name": "flow",
                    "body": "Sent",
                    "response_json": '{"flow_token":"t","size":"XL","colours":["red","blue"]}',
                },
            },
        }
    ),
    "interactive with errors": whatsapp({"type": "interactive", "errors": ERRORS}),
    "unsupported": whatsapp({"type": "unsupported", "errors": ERRORS}),
    "unsupported with its type": whatsapp(
        {"type": "unsupported", "errors": ERRORS, "unsupported": {"type": "poll_creation"}}
    ),
    "hologram": whatsapp({"type": "hologram", "hologram": {"id": "h"}}),
    "reaction": whatsapp({"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}}),
    "reaction removed": whatsapp({"type": "reaction", "reaction": {"message_id": "wamid.0"}}),
    "quote": whatsapp(
        {"type": "text", "text": {"body": "this one"}, "context": {"from": "98", "id": "wamid.0", "forwarded": False}}
    ),
    "referral": whatsapp(
        {
            "type": "text",
            "text": {"body": "still available?"},
            "referral": {"source_type": "ad", "source_id": "77", "source_url": "https://fb.me/1", "headline": "Tea"},
        }
    ),
    "edit": whatsapp(
        {
            "type": "edit",
            "edit": {
                "original_message_id": "wamid.0",
                "message": {"type": "text", "text": {"body": "corrected"}, "context": {"id": "wamid.00"}},
            },
        }
    ),
    "edited caption": whatsapp(
        {
            "type": "edit",
            "edit": {
                "original_message_id": "wamid.0",
                "message": {"type": "image", "image": {"id": "m", "caption": "corrected"}},
            },
        }
    ),
    "revoke": whatsapp({"type": "revoke", "revoke": {"original_message_id": "wamid.0"}}),
    "user_changed_number": whatsapp(
        {
            "type": "system",
            "system": {"type": "user_changed_number", "body": "Sara changed to 98913", "wa_id": "98913"},
        }
    ),
    "request_welcome": whatsapp({"type": "request_welcome"}),
    "call": whatsapp({"event": "connect", "direction": "USER_INITIATED", "to": "98"}, key="calls"),
}


def as_bytes(call: Any) -> bytes:
    """The call's body."""
    return json.dumps(call).encode()
