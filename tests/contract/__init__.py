"""Do the stand-ins agree with the real thing?"""
