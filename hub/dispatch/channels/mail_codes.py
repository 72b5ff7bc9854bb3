"""Which codes of a mail server say that there is nobody at an address."""

import re
from typing import Final

# Enhanced status codes that say there is no such mailbox, and replies that say so where a server knows none of those:
# 5.7.x is a server that will not have us, and 5.2.2 a mailbox that is full, which both say nothing about the address.
NOBODY: Final = re.compile(r"^\s*5\.(?:1\.[01236]|1\.10|2\.1)\b", re.ASCII)
ENHANCED: Final = re.compile(r"^\s*[245]\.[0-9]{1,3}\.[0-9]{1,3}\b", re.ASCII)
NO_SUCH_MAILBOX: Final = frozenset({550, 551, 553})
