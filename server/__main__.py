"""`python -m server` is `penstock`."""

from server.cli import main

main()
