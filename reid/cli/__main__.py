"""`python -m reid.cli`: the command `reid` where its script is not on the path, and for processes it starts itself."""

import sys

from reid.cli import main

sys.exit(main())
