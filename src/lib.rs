//! Who holds a port, and why can it not be bound?
