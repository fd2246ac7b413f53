"""Where streamers and viewers touch the node: sockets around `server.media`."""
