"""What Headrace is measured by: generated projects, and what is done to them in processes of their own."""
