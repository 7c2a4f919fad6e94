"""A name under which older programs look for the loop."""

from . import get_next_input as get_next_input
from . import send_result as send_result
