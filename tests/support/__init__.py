"""What tests share: clocks, clips, nodes."""
