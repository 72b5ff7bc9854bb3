"""Records, notes, activities and tasks in a CRM: HubSpot, Salesforce, or another that a profile describes."""
