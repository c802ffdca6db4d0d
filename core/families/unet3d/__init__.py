"""The UNet3D family (ModelScope, Zeroscope, the demo model), as far as torch is not needed for it."""
