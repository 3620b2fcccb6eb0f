"""Telegram's names of fields of a message and of updates, by what they mean."""

from typing import Final

ENVELOPE: Final = frozenset(
    (
        "message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat",
        "sender_boost_count", "sender_business_bot", "sender_tag", "date", "business_connection_id", "chat",
        "forward_origin", "forward_from", "forward_from_chat", "forward_from_message_id", "forward_signature",
        "forward_sender_name", "forward_date", "is_topic_message", "is_automatic_forward", "reply_to_message",
        "external_reply", "quote", "reply_to_story", "reply_to_checklist_task_id", "via_bot", "edit_date",
        "has_protected_content", "is_from_offline", "is_paid_post", "media_group_id", "author_signature",
        "paid_star_count", "text", "entities", "link_preview_options", "suggested_post_info", "effect_id",
        "caption", "caption_entities", "show_caption_above_media", "has_media_spoiler", "reply_markup",
    )
)  # fmt: skip
"""Fields that say who wrote when and where, and how it looks. All other fields are content."""

EVENTS: Final = frozenset(
    (
        "new_chat_members", "left_chat_member", "new_chat_title", "new_chat_photo", "delete_chat_photo",
        "group_chat_created", "supergroup_chat_created", "channel_chat_created",
        "message_auto_delete_timer_changed", "migrate_to_chat_id", "migrate_from_chat_id", "pinned_message",
        "connected_website", "write_access_allowed", "proximity_alert_triggered", "boost_added",
        "chat_background_set", "checklist_tasks_done", "checklist_tasks_added", "direct_message_price_changed",
        "forum_topic_created", "forum_topic_edited", "forum_topic_closed", "forum_topic_reopened",
        "general_forum_topic_hidden", "general_forum_topic_unhidden", "giveaway_created", "giveaway_completed",
        "paid_message_price_changed", "suggested_post_approved", "suggested_post_approval_failed",
        "suggested_post_declined", "suggested_post_paid", "suggested_post_refunded", "video_chat_scheduled",
        "video_chat_started", "video_chat_ended", "video_chat_participants_invited",
    )
)  # fmt: skip
"""Notes about a chat. They belong to the conversation but ask for nothing."""

NAMED: Final = frozenset(
    (
        "story", "paid_media", "game", "invoice", "giveaway", "giveaway_winners", "gift", "unique_gift",
        "gift_upgrade_sent", "users_shared", "chat_shared", "passport_data", "successful_payment",
        "refunded_payment", "poll", "checklist", "web_app_data",
    )
)  # fmt: skip
"""Types that are known and may have nothing that can be shown as a text."""

IGNORED: Final = frozenset(
    (
        "channel_post", "edited_channel_post", "poll", "chat_boost", "removed_chat_boost", "inline_query",
        "chosen_inline_result", "chat_member", "chat_join_request", "message_reaction_count",
        "business_connection",
    )
)  # fmt: skip
"""Updates that no customer has sent. Metric labels are a closed list: this is it."""
