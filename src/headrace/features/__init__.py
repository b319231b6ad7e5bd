"""Feature views: what is known of an entity at a moment, joined to labels as serving would have had it."""
