"""What people run over many samples: the audit that counts every one of them, and the report that shows them."""
