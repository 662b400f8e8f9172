"""The contracts, as plain data: scenario, program and roles, truth, plant, and files of them."""
