"""Do the stand-ins keep the providers' rules?"""
