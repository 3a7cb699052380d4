"""What people must know: judged every minute, written down once, and sent to where they look."""
