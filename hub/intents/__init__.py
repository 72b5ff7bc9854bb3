"""What the hub decided to have done: typed verbs, manager actions and notifications."""
