"""The models behind the ports: embedders now; chat, activation engines and tuners come with their issues."""
