"""The torch-free half of the UNet3D family (ModelScope, Zeroscope, the demo model)."""
