"""Everything past one machine: several owners write, each fenced by the epochs of its leases."""
