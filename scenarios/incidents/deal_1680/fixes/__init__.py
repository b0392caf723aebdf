"""What was proposed against two sessions for one deal, each as the difference that it makes to the code as
deployed.

Options 1, 2 and 3 are the analysis's own (seed 000). The lease lock and the bare key are what one would think
of next.
"""
