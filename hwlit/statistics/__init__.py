"""What can be said of methods from their runs: intervals, differences, the best. Needs no torch.

Read in this order: `combining` (test rows to values), `parts` (what makes a mean vary), `lending`
(noise known from other methods), `intervals` and `differences`, `best` (many methods at once),
`power` (equal, and how much more would tell), `ratios` (costs).
"""
