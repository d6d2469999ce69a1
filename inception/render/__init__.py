"""Pictures of what branches computed: feature maps as colour images, PNG encoding, crop frames."""
