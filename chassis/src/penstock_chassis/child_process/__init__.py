"""Heavy work in a child process of its own: what it imports and what it costs ends with it.

`run_child` is the parent's side; `Protocol` and `watch_parent` are the child's. A child gets one
JSON request on standard input and says JSON lines on standard output.
"""

from penstock_chassis.child_process.child import Protocol, peak_memory_bytes, watch_parent
from penstock_chassis.child_process.parent import Ended, run_child

__all__ = ["Ended", "Protocol", "peak_memory_bytes", "run_child", "watch_parent"]
