"""What keeps going beside the handlers: a courier for each subscription."""
