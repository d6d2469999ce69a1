"""Gradio's queue of API calls, for sessions that end while their calls wait."""

from __future__ import annotations

from typing import Any

from gradio.queueing import Queue


class EventQueue(Queue):  # type: ignore[misc]
    """Drops messages for sessions that the queue no longer has.

    Gradio's queue raises KeyError for them, also in the loop that starts events, which then ends until the process is
    restarted. A session may be gone because its client disconnected, because it was idle for too long, or because it
    was the oldest of 2000.
    """

    def send_message(self, event: Any, event_message: Any) -> None:
        """Send a message to the client of an event, if its session still exists."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)

    def sessions_in_progress(self) -> set[str]:
        """Return the sessions of all events that wait or are being processed."""
        waiting = [event for queue in self.event_queue_per_concurrency_id.values() for event in queue.queue]
        processed = [event for job in self.active_jobs if job for event in job]
        return {event.session_hash for event in (*waiting, *processed)}
