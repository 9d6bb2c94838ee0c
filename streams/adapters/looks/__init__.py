"""How a face looks: the pixels behind explanations."""
