"""What media channels carry: coded packets in MPEG-TS. Pure: bytes and values, no I/O, no codec."""
